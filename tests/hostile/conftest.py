from model_server import server

__all__ = ["server"]
