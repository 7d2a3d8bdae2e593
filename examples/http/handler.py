"""A handler in Python: an HTTP service that a node calls for each task of type "report.make".

    python3 examples/http/handler.py
    tasktier -c examples/http/tasktier.yaml run

The body of a 200 is kept as the task's result. A service that writes elsewhere hands on the fencing token, the integer in
the header ce-ttfence: what refuses a smaller one than it has seen can't be overtaken by an earlier run of the same task.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        try:
            report = json.loads(body)
            print(self.headers["ce-id"], "attempt", self.headers["ce-ttattempt"], report["month"], flush=True)
            self.answer(200, b"done")
        except (ValueError, KeyError) as wrong:
            self.answer(422, str(wrong).encode())  # permanent: the task goes to the dead letters

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
