"""What makes the committed pictures of the site, from real runs on the scikit-learn's digits."""
