"""The content security policy, built once: django-csp puts it together anew, twice, for every answer."""

from __future__ import annotations

from functools import cache

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class PolicyMiddleware(CSPMiddleware):
    """django-csp's middleware, with a short way for answers that have no policy and no nonce of their own."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Set the header, but for the excluded addresses."""
        own = any(name.startswith("_csp") for name in vars(response)) or getattr(request, "_csp_nonce", None)
        if own or settings.DEBUG or HEADER in response:
            return super().process_response(request, response)
        if not request.path_info.startswith(tuple(settings.CONTENT_SECURITY_POLICY["EXCLUDE_URL_PREFIXES"])):
            response[HEADER] = usual()
        return response


@cache
def usual() -> str:
    """The policy of the settings."""
    return str(build_policy())
