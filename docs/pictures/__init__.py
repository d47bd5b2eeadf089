"""What makes the committed pictures of the site, from real runs on scikit-learn's digits."""
