"""On-disk layouts: each reader lists the images of one kind of tree."""
