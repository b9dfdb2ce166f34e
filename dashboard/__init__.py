"""The dashboard: pages over what the controller knows, made on the server. They work without a script; with it they follow."""
