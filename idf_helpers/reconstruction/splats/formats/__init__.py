"""Splat files of other tools, each format in a file of its own.

`registry.identify` tells by the content what a file is, `registry.read` reads any of them, and
`writing.exporters` writes them.
"""
