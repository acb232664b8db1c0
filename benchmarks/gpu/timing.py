"""Times of functions that launch work on a GPU."""

import statistics

import torch


class Timer:
    """Medians of single calls, each between two events; the machine's clocks are left as they are."""

    def __init__(self, rounds=20):
        self.rounds = rounds
        # Four times the largest L2 of the day (60 MB on H200).
        self.flush_buffer = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")

    def measure(self, call, cold):
        """cold: the L2 holds none of the call's data; else what the last call left."""
        for _ in range(3):
            call()
        events = []
        for _ in range(self.rounds):
            if cold:
                self.flush_buffer.zero_()
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            events.append((begin, end))
        torch.cuda.synchronize()
        times = sorted(begin.elapsed_time(end) for begin, end in events)
        at = lambda fraction: times[round(fraction * (len(times) - 1))]
        return {"median_ms": statistics.median(times), "p10_ms": at(0.1), "p90_ms": at(0.9),
                "rounds": len(times)}


def captured(call):
    """The call as a CUDA graph's replay. `call` takes a stream handle."""
    graph = torch.cuda.CUDAGraph()
    call(torch.cuda.current_stream().cuda_stream)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        call(torch.cuda.current_stream().cuda_stream)
    return graph.replay


def ceilings():
    """What this card copies and multiplies at best: GB/s read and written, bf16 TFLOP/s."""
    timer = Timer()
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    copy = timer.measure(lambda: target.copy_(source), cold=False)
    del source, target
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = timer.measure(lambda: a @ b, cold=False)
    return {"copy_gb_per_s": 2 * (1 << 30) / copy["median_ms"] / 1e6,
            "bf16_tflops": 2 * 8192**3 / product["median_ms"] / 1e9}
