"""What builds the site: public names, their pages, mathematics without a script, a report, and checks of the result."""
