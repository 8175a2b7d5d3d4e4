"""How `mergeq web` runs gunicorn. Where it listens comes from MERGEQ_LISTEN; its hooks come from mergeq.web.server."""

worker_class = "gthread"
workers = 2  # one answers while the other is busy; what lasts lives in Redis, so more do no harm
threads = 16  # of each worker; pages that stay open may hold half of them
graceful_timeout = 5  # seconds that answers under way get when it stops
loglevel = "warning"
proc_name = "mergeq web"
control_socket_disable = True
