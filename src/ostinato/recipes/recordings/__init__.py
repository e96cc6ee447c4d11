"""What tasks on recordings share: how they are read, scaled and put into batches."""
