"""The Funding Rate Service: a typed client, and a source of funding rates on it."""

from .answers import Comparison as Comparison
from .answers import ServiceOpportunity as ServiceOpportunity
from .answers import ServiceRate as ServiceRate
from .answers import ServiceSymbol as ServiceSymbol
from .answers import ServiceVenue as ServiceVenue
from .answers import VenueRates as VenueRates
from .answers import VenueSymbols as VenueSymbols
from .client import FundingServiceClient as FundingServiceClient
from .filters import OpportunityFilter as OpportunityFilter
from .source import FundingServiceSource as FundingServiceSource

__all__ = [
    "Comparison",
    "FundingServiceClient",
    "FundingServiceSource",
    "OpportunityFilter",
    "ServiceOpportunity",
    "ServiceRate",
    "ServiceSymbol",
    "ServiceVenue",
    "VenueRates",
    "VenueSymbols",
]
