"""Where data come from: files, folders, archives and addresses, and tables in them."""
