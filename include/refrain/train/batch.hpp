#pragma once

#include <refrain/h5/pairs_file.hpp>
#include <refrain/model/packed_batch.hpp>
#include <refrain/train/plan.hpp>

namespace refrain::train {

/// The lengths that planning needs.
PairLengths lengths_of(h5::Pairs const& pairs);

/// Packs the answers of a micro-batch one behind the other, each with its prompt: segment 2 i is the i-th pair's chosen
/// answer, 2 i + 1 its rejected one (with Answers::chosen, segment i is the chosen one). Answer numbers in `answer_N`
/// count segments. The last token of an answer predicts nothing and is left out.
/// `tensor_size`: the number of tokens is rounded up to a multiple of it by a dummy segment that no row reads.
model::PackedBatch pack(h5::Pairs const& pairs, MicroBatch const& micro_batch, Answers answers, int tensor_size);

}  // namespace refrain::train
