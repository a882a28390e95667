"""The ASGI application: pages over HTTP, nudges over websockets."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studyapp.settings")
os.environ.setdefault("PALATE_DB_POOL", "1")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from studyapp.live import ends_in_time, websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": ends_in_time(AllowedHostsOriginValidator(URLRouter(websocket_urlpatterns))),
    }
)
