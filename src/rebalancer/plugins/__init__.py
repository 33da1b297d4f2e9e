"""Plugins: rules, sources and more that other distributions bring, by name, and only those that the host allows."""

from .hookspecs import API_VERSION as API_VERSION
from .hookspecs import Kind as Kind
from .hookspecs import Register as Register
from .hookspecs import hookimpl as hookimpl
from .manager import ANY as ANY
from .manager import PluginManager as PluginManager
from .registry import Catalogue as Catalogue
from .registry import Registered as Registered
from .registry import Registry as Registry
from .report import PluginReport as PluginReport
from .report import PluginStatus as PluginStatus

__all__ = [
    "ANY",
    "API_VERSION",
    "Catalogue",
    "Kind",
    "PluginManager",
    "PluginReport",
    "PluginStatus",
    "Register",
    "Registered",
    "Registry",
    "hookimpl",
]
