"""How fast this is beside its peers and beside the least work there can be: `make bench`, docs/performance.md."""
