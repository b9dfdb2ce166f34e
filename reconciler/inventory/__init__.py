"""What we durably know: records, inventories and requests, kept as ConfigMaps in the controller's namespace on the host.

`store` reads and writes them, `ledger` is the pure arithmetic of the write-ahead (A3), `requests` what humans ask for.
"""
