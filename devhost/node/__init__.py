"""A real node beside kwok's: containerd, kubelet and kube-proxy in namespaces of their own, where pods really run.

`needs.py` says what a machine lacks for it, `start.py` brings it up. `keeper.py` holds the namespaces, `enter.py` runs a program
in them and `connect.py` joins their network to the API server; these three are started as files, with the standard library alone.
"""
