"""Where pictures lie: folders, archives, tables and arrays, each listed, read and written by one file of its format."""
