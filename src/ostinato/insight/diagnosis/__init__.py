"""The doctor: what is wrong with a recurrent model, how one sees it, and which argument to change."""
