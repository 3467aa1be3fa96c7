"""`vllm bench serve`, which the command `vllm` of the CPU build does not reach.

python -m benchmarks.replicas.client [its options]
"""

from vllm.benchmarks import serve
from vllm.utils.argparse_utils import FlexibleArgumentParser

if __name__ == "__main__":
    parser = FlexibleArgumentParser(prog="vllm bench serve")
    serve.add_cli_args(parser)
    serve.main(parser.parse_args())
