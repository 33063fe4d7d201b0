"""Who touched each word of a memory last: finds accesses whose order nothing decides.

Two threads that access one word, one of them writing, must be put in order: by a barrier of their block between the two accesses, or by
__syncwarp() if they are of one warp. Threads of different blocks of a launch cannot be. On a GPU such a race gives the right
result most of the time; here threads step in lockstep, so it would nearly always. So it is looked for.

An access is noted as one integer, a key: time (barriers passed) | place in the code | block | thread | atomic. Where several threads
have read a word, the key says so instead of the thread: several of a warp, of a block, or of the whole launch.
"""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.kernels.cuda_backend.simulator.faults import SimulatorError
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction

if TYPE_CHECKING:
    from minicnn.kernels.cuda_backend.simulator.machine import Wave

THREAD_BITS, BLOCK_BITS, PLACE_BITS, TIME_BITS = 11, 19, 16, 16
ATOMIC = 1
WHO_SHIFT, PLACE_SHIFT, TIME_SHIFT = 1, 1 + THREAD_BITS + BLOCK_BITS, 1 + THREAD_BITS + BLOCK_BITS + PLACE_BITS
WHO = (1 << PLACE_SHIFT) - (1 << WHO_SHIFT)                    # the bits of block and thread
SEVERAL_OF_WARP = 1024                                         # + the warp: a thread's number beyond those of a block
SEVERAL_OF_BLOCK = 1024 + 32
SEVERAL_BLOCKS = (1 << BLOCK_BITS) - 1
UNTOUCHED = -1


def keys_of(wave: Wave, place: int) -> np.ndarray:
    """The keys of an access by the active threads, now. (active,)"""
    return wave.who[wave.active] + ((wave.time << TIME_SHIFT) + (place << PLACE_SHIFT))


class Accesses:
    """The words that the active threads access now, and their keys, which are seldom needed for reads. chosen: some of those threads;
    words, (accesses · each,): each thread's are neighbours."""

    def __init__(self, wave: Wave, place: int, chosen: Any, words: np.ndarray, each: int) -> None:
        self.words, self.time = words, wave.time
        self._who, self._chosen, self._each = wave.who[wave.active], chosen, each
        self._when = (wave.time << TIME_SHIFT) + (place << PLACE_SHIFT)

    @functools.cached_property
    def keys(self) -> np.ndarray:
        keys = self._who[self._chosen] + self._when
        return keys if self._each == 1 else np.repeat(keys, self._each)


def who_of(wave: Wave) -> np.ndarray:
    """(lanes,): each thread's part of a key."""
    block = np.repeat(np.arange(wave.first, wave.first + wave.count), wave.padded)
    if wave.first + wave.count >= SEVERAL_BLOCKS or len(wave.code) >> PLACE_BITS:
        raise SimulatorError(f"kernel {wave.launch.kernel}: more than {SEVERAL_BLOCKS - 1} blocks or {1 << PLACE_BITS} instructions")
    return (block << (THREAD_BITS + WHO_SHIFT)) + (wave.thread << WHO_SHIFT)


def _block(key: Any) -> Any:
    return (key & WHO) >> (THREAD_BITS + WHO_SHIFT)


def _thread(key: Any) -> Any:
    return (key & WHO) >> WHO_SHIFT & ((1 << THREAD_BITS) - 1)


def _warp(key: np.ndarray) -> np.ndarray:
    """Its number in the block; of SEVERAL_OF_BLOCK one that no thread has."""
    thread = _thread(key)
    return np.where(thread < SEVERAL_OF_WARP, thread >> 5, thread - SEVERAL_OF_WARP)


class Races:
    """words: how many words the memory has; own: whether a block has it to itself, as shared memory."""

    def __init__(self, words: int, own: bool) -> None:
        self.own = own
        self.writers = np.full(words, UNTOUCHED, np.int64)
        self.read_at = np.full(words, UNTOUCHED, np.int32)     # the time when it was last read
        self.readers: np.ndarray | None = None                 # by whom, filled in when somebody writes a word that was read
        self.filling: np.ndarray | None = None                 # keys of cp.async that have not been waited for
        self._new: list[Accesses] = []                         # reads that are not in `read_at` yet: nobody asks before a write
        self._reads: list[Accesses] = []                       # reads that are not in `readers` yet

    def read(self, wave: Wave, instruction: Instruction, accesses: Accesses) -> None:
        writers = self.writers[accesses.words]
        if self.own and writers.size and writers.min() < 0:
            lane = _lane(wave, accesses.keys[int(writers.argmin())])
            wave.fault(instruction, lane, "reads shared memory that no thread has written")
        self._not_filling(wave, instruction, accesses, "reads")
        self._ordered(wave, instruction, writers, accesses, "read after write", "wrote")
        self._new.append(accesses)

    def write(self, wave: Wave, instruction: Instruction, accesses: Accesses) -> None:
        words, keys = accesses.words, accesses.keys
        self._not_filling(wave, instruction, accesses, "writes")
        self._ordered(wave, instruction, self.writers[words], accesses, "write after write", "wrote")
        self._after_reads(wave, instruction, accesses)
        self.writers[words] = keys
        twice = self.writers[words] != keys
        if twice.any():
            i = int(np.flatnonzero(twice)[0])
            self._fault(wave, instruction, keys[i], self.writers[words[i]], "two threads write one word", "writes")

    def update(self, wave: Wave, instruction: Instruction, accesses: Accesses) -> None:
        """An atomic read and write: in order with other atomic ones, not with plain ones."""
        writers = self.writers[accesses.words]
        plain = np.where(writers & ATOMIC, UNTOUCHED, writers)
        self._ordered(wave, instruction, plain, accesses, "atomic operation after plain write", "wrote")
        self._after_reads(wave, instruction, accesses)
        _merge(wave, self.writers, accesses.words, accesses.keys | ATOMIC)

    def fill(self, wave: Wave, instruction: Instruction, accesses: Accesses) -> None:
        """cp.async begins to write."""
        self.write(wave, instruction, accesses)
        if self.filling is None:
            self.filling = np.full(len(self.writers), UNTOUCHED, np.int64)
        self.filling[accesses.words] = accesses.keys

    def filled(self, words: np.ndarray, keys: np.ndarray) -> None:
        """cp.async has written. keys: of the wait."""
        assert self.filling is not None
        self.filling[words] = UNTOUCHED
        self.writers[words] = keys

    def forget(self) -> None:
        """All threads of all blocks have passed a barrier: what they read before is in order with what follows."""
        if self.own:
            self._new.clear()
            self._reads.clear()

    def _after_reads(self, wave: Wave, instruction: Instruction, accesses: Accesses) -> None:
        """First only whether any of the words was read since the barrier, which is quick. Who read it is found out if so."""
        for earlier in self._new:
            self.read_at[earlier.words] = earlier.time
        self._reads += self._new
        self._new.clear()
        read_at = self.read_at[accesses.words]
        if not read_at.size or read_at.max() < (wave.barrier_time if self.own else 0):
            return
        if self.readers is None:
            self.readers = np.full(len(self.writers), UNTOUCHED, np.int64)
        for earlier in self._reads:
            _merge(wave, self.readers, earlier.words, earlier.keys)
        self._reads.clear()
        self._ordered(wave, instruction, self.readers[accesses.words], accesses, "write after read", "read")

    def _ordered(self, wave: Wave, instruction: Instruction, others: np.ndarray, accesses: Accesses, kind: str, did: str) -> None:
        """Raise a Fault unless each access of `others` comes before the one now, or is by the same thread."""
        latest = wave.barrier_time << TIME_SHIFT
        if not others.size or others.max() < (latest if self.own else 0):
            return
        keys = accesses.keys
        suspicious = (others >= 0) & ((others ^ keys) & WHO != 0)
        if suspicious.any():
            suspicious &= ~_in_order(wave, others, keys)
            if suspicious.any():
                i = int(np.flatnonzero(suspicious)[0])
                self._fault(wave, instruction, keys[i], others[i], kind, did)

    def _not_filling(self, wave: Wave, instruction: Instruction, accesses: Accesses, verb: str) -> None:
        if self.filling is None:
            return
        filling = self.filling[accesses.words]
        if filling.size and filling.max() >= 0:
            i = int(filling.argmax())
            wave.fault(instruction, _lane(wave, accesses.keys[i]), f"{verb} shared memory that a cp.async is still filling, started by "
                       f"{_described(wave, filling[i])}; that thread must wait for it first (cp.async.wait_group), then all at a barrier")

    def _fault(self, wave: Wave, instruction: Instruction, key: int, other: int, kind: str, did: str) -> None:
        where = "shared" if self.own else "global"
        barrier = "blocks run in any order" if _block(key) != _block(other) else "no barrier is between them"
        wave.fault(instruction, _lane(wave, key), f"race in {where} memory ({kind}): {_described(wave, other)} {did} the same word, and "
                                                  f"{barrier}")


def _in_order(wave: Wave, others: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Whether a barrier lies between earlier accesses and now."""
    same_block = _block(others) == _block(keys)
    passed = others < (wave.barrier_time << TIME_SHIFT)
    if wave.warp_time is not None:
        lanes = (_block(keys) - wave.first) * wave.padded + _thread(keys)
        passed |= (_warp(others) == _warp(keys)) & (others < wave.warp_time[lanes] << TIME_SHIFT)
    return same_block & passed


def _merge(wave: Wave, table: np.ndarray, words: np.ndarray, keys: np.ndarray) -> None:
    """Note accesses that may be by several threads."""
    old = table[words]
    table[words] = keys
    seen = table[words]                                        # of several threads that access a word now, one
    unordered = (old >= 0) & ((old ^ keys) & WHO != 0)
    if unordered.any():
        unordered &= ~_in_order(wave, old, keys)
    several = ((seen ^ keys) & WHO != 0) | unordered
    if not several.any():
        return
    words, keys, old, seen, unordered = words[several], keys[several], old[several], seen[several], unordered[several]
    block = (_block(seen) != _block(keys)) | (unordered & (_block(old) != _block(keys)))
    warp = (_warp(seen) != _warp(keys)) | (unordered & (_warp(old) != _warp(keys)))
    rest = keys & ~WHO
    own_block = _block(keys) << (THREAD_BITS + WHO_SHIFT)
    table[words] = rest | own_block | ((SEVERAL_OF_WARP + _warp(keys)) << WHO_SHIFT)
    table[words[warp]] = (rest | own_block | (SEVERAL_OF_BLOCK << WHO_SHIFT))[warp]
    table[words[block]] = (rest | (SEVERAL_BLOCKS << (THREAD_BITS + WHO_SHIFT)))[block]


def _lane(wave: Wave, key: int) -> int:
    return int((_block(key) - wave.first) * wave.padded + _thread(key))


def _described(wave: Wave, key: int) -> str:
    """block (0, 0, 0), thread (3, 0, 0) at scale.cu:7: ld.shared.f32 ..."""
    from minicnn.kernels.cuda_backend.simulator.machine import named

    block, thread = int(_block(key)), int(_thread(key))
    instruction = wave.code[int(key) >> PLACE_SHIFT & ((1 << PLACE_BITS) - 1)]
    if block == SEVERAL_BLOCKS:
        who = "threads of several blocks"
    elif thread >= SEVERAL_OF_WARP:
        who = f"several threads of {named(block, 0, wave.launch).partition(', thread')[0]}"
    else:
        who = named(block, thread, wave.launch)
    return f"{who} (at {instruction})"
