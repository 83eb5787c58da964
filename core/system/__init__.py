"""What processes, files and the network of this machine promise, whoever uses them."""
