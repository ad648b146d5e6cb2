"""One picture: opened as samples to change, and written back with all else that it carries."""
