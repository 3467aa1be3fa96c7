"""What variants cost beside stock vLLM: throughput, start-up, memory, and latency while loading."""
