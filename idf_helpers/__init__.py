"""ImplicitDeepfake, rebuilt: one photo and views of a head become a 3D avatar."""
