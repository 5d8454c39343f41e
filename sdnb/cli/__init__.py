"""What the commands of `sdnb` do with their flags; `sdnb.__main__` chooses among them."""
