"""One HTML file that shows the course's idea without an installation: two networks run in the browser."""
