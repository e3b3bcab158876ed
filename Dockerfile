# `fedmvp serve` on a CPU, of a model that was exported to ./exported (docs/howto/serve.md#in-a-container):
#     docker build --tag fedmvp .
#     docker run --rm --read-only --tmpfs /tmp --publish 127.0.0.1:5001:5001 fedmvp
# Everything is fetched while it is built; what runs needs no network.
FROM python:3.12-slim

RUN useradd --create-home fedmvp
WORKDIR /home/fedmvp
# Packages first: they change seldom. Their versions are pinned by hash. Without dependencies: triton, a
# gigabyte that only a GPU uses, is left out. CUDA's libraries are not: PyPI's torch is linked with them.
COPY requirements-serve.txt .
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement requirements-serve.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY fedmvp fedmvp
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
COPY exported exported

USER fedmvp
ENV FEDMVP_CACHE=/tmp/fedmvp HF_HUB_OFFLINE=1
EXPOSE 5001
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5001/healthz')"]
# Inside the container, `--host 0.0.0.0` is the container's own network alone.
CMD ["fedmvp", "serve", "exported", "--host", "0.0.0.0"]
