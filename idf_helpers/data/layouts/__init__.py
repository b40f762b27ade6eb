"""Dataset layouts of other programs for heads: read, or refused by name with a way out.

`tracked` completes transforms files that carry more than a picture's camera (VHAP, GaussianAvatars,
INSTA, D-NeRF); `imavatar` and `nersemble` read what has no transforms file; `others` names what
cannot be read.
"""
