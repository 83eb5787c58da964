"""Where the rooms meet: what is registered, and the bridges to the outside world."""
