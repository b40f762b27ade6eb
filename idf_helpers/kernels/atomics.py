"""What threads need of memory inside compiled code: numba offers no atomic access in public.

`words` is a 1-D int64 array, k the index of a word; nothing is checked.
"""

from __future__ import annotations

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from .numba_private import cgutils


def _word(context, builder, signature, args):
    """Return LLVM pointer to words[k]."""
    return builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data,
                       [args[1]])


@intrinsic
def get_word(typingctx, words, k):
    """Return words[k]; what another thread wrote before it set this word is then visible too."""
    def codegen(context, builder, signature, args):
        return builder.load_atomic(_word(context, builder, signature, args), "acquire", 8)
    return types.int64(words, types.int64), codegen


@intrinsic
def set_word(typingctx, words, k, value):
    """Set words[k] = value, not before everything that this thread wrote until now."""
    def codegen(context, builder, signature, args):
        builder.store_atomic(args[2], _word(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()
    return types.void(words, types.int64, types.int64), codegen


@intrinsic
def add_word(typingctx, words, k, value):
    """Add value to words[k] as one step; return what it was before."""
    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", _word(context, builder, signature, args), args[2],
                                  "seq_cst")
    return types.int64(words, types.int64, types.int64), codegen


@intrinsic
def pause(typingctx):
    """Wait for a few dozen cycles, which leave the core to its other thread, if it has one."""
    def codegen(context, builder, signature, args):
        processor = binding.get_default_triple().split("-")[0]
        name, hint = {"x86_64": ("llvm.x86.sse2.pause", []), "AMD64": ("llvm.x86.sse2.pause", []),
                      "aarch64": ("llvm.aarch64.hint", [ir.IntType(32)(1)]),
                      "arm64": ("llvm.aarch64.hint", [ir.IntType(32)(1)])
                      }.get(processor, (None, []))
        if name is not None:
            emit = ir.FunctionType(ir.VoidType(), [h.type for h in hint])
            builder.call(cgutils.get_or_insert_function(builder.module, emit, name), hint)
        return context.get_dummy_value()
    return types.void(), codegen


@intrinsic
def call_address(typingctx, address, argument):
    """Call the C function `f(unsigned int)` at that address."""
    def codegen(context, builder, signature, args):
        number = ir.IntType(32)
        function = ir.FunctionType(ir.VoidType(), [number]).as_pointer()
        builder.call(builder.inttoptr(args[0], function), [builder.trunc(args[1], number)])
        return context.get_dummy_value()
    return types.void(types.int64, types.int64), codegen
