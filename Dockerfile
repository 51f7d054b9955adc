# One image for every process of fcgraph: migrate, api, consumer, worker, scheduler; compose.yaml sets the commands.

# What the page at /graphql loads, from npm, as `make playground` does.
FROM node:24-slim AS playground
WORKDIR /build
COPY fcgraph/api/playground ./
RUN npm ci --silent --no-progress && node build.mjs

FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

COPY fcgraph ./fcgraph
COPY workers ./workers
COPY seeds ./seeds
COPY migrations ./migrations
COPY --from=playground /build/dist ./fcgraph/api/playground/dist

# Volumes made from these folders belong to the same user.
RUN useradd --uid 10001 --create-home fcgraph && install -d -o fcgraph /data /data/reports /data/uploads
USER fcgraph

EXPOSE 8000
CMD ["uvicorn", "fcgraph.api.app:app", "--host", "0.0.0.0", "--port", "8000", "--no-proxy-headers", "--no-server-header", \
     "--http", "fcgraph.api.http.server:OneWrite", "--ws-per-message-deflate", "false"]
