"""How static files are kept: under names that hold their hash, compressed once when they are collected."""

from typing import Any

import brotli
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage


class QuickCompressor(Compressor):
    """Brotli at quality 9: some 7 % larger than at 11, and a fifth of the time, which the first start waits for."""

    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        """The compressed bytes of one file."""
        return bytes(brotli.compress(data, quality=9))


class AssetStorage(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage with the quicker compressor."""

    def create_compressor(self, **options: Any) -> Compressor:
        """What `collectstatic` compresses each file with."""
        return QuickCompressor(**options)
