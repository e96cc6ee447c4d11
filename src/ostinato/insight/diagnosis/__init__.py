"""The doctor: finds what is wrong with a recurrent model, with the evidence and the argument to change."""
