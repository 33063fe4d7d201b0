"""Tensor cores: mma.sync multiplies small matrices that lie in the registers of a warp's 32 threads; ldmatrix brings them there.

D (16×8) = A (16×8) · B (8×8) + C (16×8): thread l, with g = l / 4 and t = l % 4, holds these elements (row, column):
    A: (g, t), (g+8, t), (g, t+4), (g+8, t+4)      B: (t, g), (t+4, g)      C and D: (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1)
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn.kernels.cuda_backend.simulator.access import Address, reach
from minicnn.kernels.cuda_backend.simulator.conversion import TF32_DROPPED
from minicnn.kernels.cuda_backend.simulator.machine import WARP, Step, Wave
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction
from minicnn.kernels.cuda_backend.simulator.registers import Operands, parts, unknown
from minicnn.kernels.cuda_backend.simulator.warp import check_whole_warps

G, T = np.arange(WARP) // 4, np.arange(WARP) % 4
A_ROWS, A_COLUMNS = np.stack([G, G + 8, G, G + 8]), np.stack([T, T, T + 4, T + 4])       # (register, thread)
B_ROWS, B_COLUMNS = np.stack([T, T + 4]), np.stack([G, G])
C_ROWS, C_COLUMNS = np.stack([G, G, G + 8, G + 8]), np.stack([2 * T, 2 * T + 1, 2 * T, 2 * T + 1])
SHAPE = ("mma", "sync", "aligned", "m16n8k8", "row", "col", "f32", "tf32", "tf32", "f32")
ROW = 16                         # bytes of a matrix's row that ldmatrix loads: 8 elements of 2 bytes, or 4 of TF32


def _registers(wave: Wave, slots: list[int]) -> np.ndarray:
    """(warps, registers, 32)"""
    return np.stack([wave.slots[slot].reshape(-1, WARP) for slot in slots], 1)


def _matrix(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    found = np.empty((len(values), *shape))
    found[:, rows, columns] = values
    return found


def _tf32(values: np.ndarray) -> np.ndarray:
    """What a tensor core sees of 32 bits: it drops the last 13, without rounding."""
    return (values & ~np.uint32((1 << TF32_DROPPED) - 1)).view(np.float32)


def _multiply(instruction: Instruction, operands: Operands) -> Step:
    """The sum of nine terms is rounded once here; a tensor core cuts off bits of each term below the largest one's last few."""
    if instruction.opcode != SHAPE:
        raise unknown(instruction)
    d, a, b, c = ([operands.slot(part, np.float32 if i in (0, 3) else np.uint32) for part in parts(operand)]
                  for i, operand in enumerate(instruction.operands))

    def step(wave: Wave) -> None:
        check_whole_warps(wave, instruction)
        left = _matrix(_tf32(_registers(wave, a)), A_ROWS, A_COLUMNS, (16, 8))
        right = _matrix(_tf32(_registers(wave, b)), B_ROWS, B_COLUMNS, (8, 8))
        total = _matrix(_registers(wave, c), C_ROWS, C_COLUMNS, (16, 8)) + left @ right
        result = total.astype(np.float32)[:, C_ROWS, C_COLUMNS]              # (warps, 4, 32)
        for i, slot in enumerate(d):
            wave.put(slot, result[:, i].ravel())
    return step


def _load_matrix(instruction: Instruction, operands: Operands) -> Step:
    """ldmatrix.x4: threads 0 to 7 give the addresses of the rows of the first 8×8 matrix of 2-byte elements, 8 to 15 of the second, ...
    Register i of thread l receives elements (l / 4, 2(l % 4)) and the next of matrix i; with .trans of its transpose."""
    slots = [operands.slot(part, np.uint32) for part in parts(instruction.operands[0])]
    if "m8n8" not in instruction.opcode or "b16" not in instruction.opcode or f"x{len(slots)}" not in instruction.opcode:
        raise unknown(instruction)
    address, transposed = Address(instruction.operands[1], operands), "trans" in instruction.opcode
    operands.touches("shared", ROW)

    def step(wave: Wave) -> None:
        check_whole_warps(wave, instruction)
        saved = wave.mask, wave.active, wave.size
        wave.activate(wave.mask & (np.arange(wave.lanes) % WARP < 8 * len(slots)))        # the threads whose addresses count
        piece, = reach(wave, instruction, "shared", address.of(wave), ROW, "read")
        rows = wave.shared.bytes[piece.offsets[:, None] + np.arange(ROW)].view(np.uint16)
        lanes = wave.active_lanes()
        wave.mask, wave.active, wave.size = saved
        loaded = np.zeros((wave.lanes // WARP, 4, 8, 8), np.uint16)          # (warps, matrices, rows, elements)
        loaded[lanes // WARP, lanes % WARP // 8, lanes % 8] = rows
        if transposed:
            loaded = loaded.swapaxes(2, 3)
        pairs = np.ascontiguousarray(loaded).view(np.uint32)                 # (warps, matrices, 8, 4): a pair for each thread
        for i, slot in enumerate(slots):
            wave.put(slot, pairs[:, i].ravel())
    return step


DECODERS: dict[str, Callable[[Instruction, Operands], Step]] = {"mma": _multiply, "ldmatrix": _load_matrix}
