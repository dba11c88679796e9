"""What understudy knows about a storage node; the stubs beside this file say it all."""

from ._core import *  # noqa: F403
