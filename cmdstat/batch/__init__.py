"""Many updates: read them (`rows`), decide which goes when (`schedule`), send them (`engine`).

Pure but for the threads that `engine` runs: no HTTP, no screen, no file.
"""
