"""The tagger on the other side of the network: one or several Triton servers, one method to call.

    with TritonTagger(["127.0.0.1:8001", "127.0.0.1:8002"]) as tagger:
        for entity in tagger.tag(["replace leaking hose"])[0]:
            print(entity.label, entity.start, entity.end, entity.score)

`AsyncTritonTagger` has the same methods for asyncio. What happens to a request is decided in
`dispatch`, by the settings in `policy`; nothing there knows of networks. Importing this package
needs no more than the standard library.
"""

from serve.client.answers import Answer, TextEntity
from serve.client.asynchronous import AsyncTritonTagger
from serve.client.blocking import TritonTagger
from serve.client.front import export_metrics
from serve.client.policy import Policy

__all__ = [
    "Answer",
    "AsyncTritonTagger",
    "Policy",
    "TextEntity",
    "TritonTagger",
    "export_metrics",
]
