"""The ASGI application: pages over HTTP, nudges over websockets.

Pages run as Django's synchronous (WSGI) application on a pool of threads that keep their database connections. Under
Django's own ASGI handler every synchronous middleware and every view hops to a thread of its own, which costs several
times the request's work; `docs/decisions/pages-on-threads.md` has the figures.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studyapp.settings")

from django.core.wsgi import get_wsgi_application

pages = get_wsgi_application()

from a2wsgi import WSGIMiddleware  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from studyapp.live import ends_in_time, websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": WSGIMiddleware(pages, workers=settings.WEB_THREADS),  # type: ignore[arg-type]
        "websocket": ends_in_time(AllowedHostsOriginValidator(URLRouter(websocket_urlpatterns))),
    }
)
