"""The C ABI through ctypes, as much of it as the comparisons need."""

import ctypes

import torch

BACKEND_REFERENCE, BACKEND_CPU, BACKEND_CUDA = 0, 1, 2
PRECISIONS = {"fp32": 0, "bf16": 1}
DTYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2, torch.int32: 3, torch.int64: 4}


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("dtype", ctypes.c_int32), ("rank", ctypes.c_int32),
                ("shape", ctypes.c_int64 * 6), ("strides", ctypes.c_int64 * 6)]

    @classmethod
    def of(cls, tensor):
        padding = [0] * (6 - tensor.dim())
        return cls(tensor.data_ptr(), DTYPES[tensor.dtype], tensor.dim(),
                   (ctypes.c_int64 * 6)(*tensor.shape, *padding),
                   (ctypes.c_int64 * 6)(*tensor.stride(), *padding))


class Problem(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t)]
    _fields_ += [(name, ctypes.c_int64) for name in
                 "batch tokens num_sequences qk_heads v_heads head_dim_k head_dim_v".split()]
    _fields_ += [(name, ctypes.c_int32) for name in
                 "qkv_dtype out_dtype gate_dtype beta_dtype gate_kind".split()]
    _fields_ += [("lower_bound", ctypes.c_float)]
    _fields_ += [(name, ctypes.c_int32) for name in "qk_norm beta_form beta_range".split()]
    _fields_ += [("scale", ctypes.c_float)]
    _fields_ += [(name, ctypes.c_int32) for name in
                 "state_storage state_dtype state_layout checkpoint_kind".split()]
    _fields_ += [(name, ctypes.c_int64) for name in
                 "state_pool_slots checkpoint_every checkpoint_max_offsets checkpoint_pool_slots".split()]
    _fields_ += [("checkpoint_destination", ctypes.c_int32), ("reserved", ctypes.c_int32)]


class PlanOptions(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("backend", ctypes.c_int32),
                ("precision", ctypes.c_int32), ("threads", ctypes.c_int32),
                ("algorithm", ctypes.c_int32), ("multiprocessors", ctypes.c_int32),
                ("cuts", ctypes.c_int32), ("v_panel", ctypes.c_int32),
                ("reserved", ctypes.c_int32)]


class Tensors(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t)] + [(name, Tensor) for name in (
        "q k v g beta out A_log dt_bias cu_seqlens initial_state final_state state_pool "
        "state_indices has_initial_state checkpoints checkpoint_offsets checkpoint_slots").split()]


class Library:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.flash_kda_last_error.restype = ctypes.c_char_p
        self.lib.flash_kda_version.restype = ctypes.c_char_p
        self.lib.flash_kda_plan_describe.restype = ctypes.c_char_p
        self.lib.flash_kda_plan_workspace_bytes.restype = ctypes.c_size_t
        self.lib.flash_kda_plan_cut_counts_offset.restype = ctypes.c_size_t

    def check(self, status):
        if status != 0:
            raise ValueError(self.lib.flash_kda_last_error().decode())

    def prepare(self, tensors, backend, precision, threads, plan_fields=None):
        """A function that runs the call, on a CUDA stream if it is given one.

        tensors: name -> torch tensor; lengths vary when cu_seqlens is among them. plan_fields:
        further fields of flash_kda_plan_options.
        """
        problem, options, views = Problem(), PlanOptions(), Tensors()
        self.lib.flash_kda_problem_init(ctypes.byref(problem))
        self.lib.flash_kda_plan_options_init(ctypes.byref(options))
        self.lib.flash_kda_tensors_init(ctypes.byref(views))
        problem.batch, problem.tokens, problem.qk_heads, problem.head_dim_k = tensors["q"].shape
        problem.v_heads, problem.head_dim_v = tensors["v"].shape[2:]
        if "cu_seqlens" in tensors:
            problem.num_sequences = tensors["cu_seqlens"].numel() - 1
        problem.qkv_dtype = DTYPES[tensors["q"].dtype]
        problem.out_dtype = DTYPES[tensors["out"].dtype]
        problem.gate_dtype = DTYPES[tensors["g"].dtype]
        problem.beta_dtype = DTYPES[tensors["beta"].dtype]
        options.backend, options.threads = backend, threads
        options.precision = PRECISIONS[precision]
        for name, value in (plan_fields or {}).items():
            setattr(options, name, value)
        for name, tensor in tensors.items():
            setattr(views, name, Tensor.of(tensor))

        plan = ctypes.c_void_p()
        self.check(self.lib.flash_kda_plan_create(ctypes.byref(problem), ctypes.byref(options),
                                                  ctypes.byref(plan)))
        size = self.lib.flash_kda_plan_workspace_bytes(plan)
        workspace = torch.empty(size + 256, dtype=torch.uint8, device=tensors["q"].device)
        address = (workspace.data_ptr() + 255) // 256 * 256

        def call(stream=None, keep=(workspace, tensors)):  # the views point into what `keep` holds
            self.check(self.lib.flash_kda_run(plan, ctypes.byref(views), ctypes.c_void_p(address),
                                              ctypes.c_size_t(size), ctypes.c_void_p(stream)))

        offset = self.lib.flash_kda_plan_cut_counts_offset(plan)

        def cut_counts(keep=workspace):
            """(replayed, waited): parts after a cut of the last call, once it is done."""
            if offset == 0:
                return 0, 0
            first = address - keep.data_ptr() + offset
            return tuple(keep[first:first + 8].view(torch.int32).tolist())

        call.workspace_bytes = size
        call.cut_counts = cut_counts
        call.description = self.lib.flash_kda_plan_describe(plan).decode()
        return call
