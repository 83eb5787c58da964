"""What is told of a training and of an evolution, from the files in their folders."""
