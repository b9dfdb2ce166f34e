"""What we durably know: records and inventories, kept as ConfigMaps, and requests, in the controller's namespace on the host.

`store` reads and writes them, `ledger` is the pure arithmetic of the write-ahead (A3), `requests` what humans ask for.
"""
