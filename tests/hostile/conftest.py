from bound_recipes import bound, host, place
from model_server import server
from web_server import nothing_allowed, other, web

__all__ = ["bound", "host", "nothing_allowed", "other", "place", "server", "web"]
