"""What is stored: records and inventories, as ConfigMaps, and requests, in the controller's namespace on the host.

`store` reads and writes them, `ledger` computes inventory entries before and after changes (A3), `requests` what people
ask for.
"""
