"""3DGS as published (graphdeco-inria/gaussian-splatting): its rasterizer, and its trainer run as it
is. Its license allows research and evaluation only, so nothing of it is in this package; a user
brings a clone of it (IDF_GRAPHDECO), and `auto` never takes it."""
