# All of the benchmark in one image, for CPUs and for NVIDIA GPUs. docs/guide/install.md says how to build it.
FROM python:3.11-slim

RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*

# An index with smaller builds of PyTorch, where no GPU is wanted; pip reads it from the environment.
ARG PIP_EXTRA_INDEX_URL

WORKDIR /unlearnbench
COPY . .
RUN make .venv/installed
ENV PATH=/unlearnbench/.venv/bin:$PATH

CMD ["make", "demo"]
