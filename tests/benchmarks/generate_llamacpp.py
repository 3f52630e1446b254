"""What generate.py --llamacpp runs in an environment of its own (llama-cpp-python, gguf, numpy): greedy answers to
WORK/prompts.jsonl by the model in WORK/model, written anew as GGUF in fp32; prints the seconds of prefill and decoding
alone. Each prompt takes a place as soon as one is free, as llama.cpp's own server does it."""

import argparse
import json
import pathlib
import time

import gguf
import llama_cpp
import numpy

PLACES = 64
# Tokens of a batch, and of one row at most.
BATCH, ROW = 2048, 512
NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def tensors(folder):
    """(name, fp32 array) of each tensor of a folder of safetensors: eight bytes of length, a JSON header, values."""
    for path in sorted(folder.glob("*.safetensors")):
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8:8 + length]).items():
            if name != "__metadata__":
                assert entry["dtype"] == "F32", entry["dtype"]
                begin, end = (8 + length + at for at in entry["data_offsets"])
                yield name, numpy.frombuffer(data[begin:end], numpy.float32).reshape(entry["shape"])


def write_gguf(folder, path):
    config = json.loads((folder / "config.json").read_text())
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    for name, values in tensors(folder):
        if name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"):
            short = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm"}.get(name, "output")
        else:
            _, _, block, inner = name.removesuffix(".weight").split(".", 3)
            short = f"blk.{block}.{NAMES[inner]}"
            # llama.cpp turns neighbours in a head, Hugging Face's layout its halves.
            if NAMES[inner] in heads:
                count = heads[NAMES[inner]]
                values = values.reshape(count, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(f"{short}.weight", numpy.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def open_model(path, threads):
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = PLACES * ROW, BATCH, 512, PLACES
    params.n_threads = params.n_threads_batch = threads
    params.kv_unified = True
    params.type_k = params.type_v = 0  # fp32
    params.no_perf = True
    context = llama_cpp.llama_init_from_model(model, params)
    assert context, "llama.cpp made no context"
    return model, context


def answer_all(context, prompts, stops, longest, vocabulary):
    """Tokens of each prompt's answer."""
    batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
    memory = llama_cpp.llama_get_memory(context)
    waiting, active, answers = list(range(len(prompts)))[::-1], {}, [[] for _ in prompts]
    free = list(range(PLACES))
    while waiting or active:
        entries = [(answers[row][-1], len(prompts[row]) + len(answers[row]) - 1, place, True) for place, row in active.items()]
        while waiting and free and len(entries) + len(prompts[waiting[-1]]) <= BATCH:
            row, place = waiting.pop(), free.pop()
            llama_cpp.llama_memory_seq_rm(memory, place, -1, -1)
            active[place] = row
            last = len(prompts[row]) - 1
            entries += [(token, i, place, i == last) for i, token in enumerate(prompts[row])]
        batch.n_tokens = len(entries)
        for i, (token, position, place, wanted) in enumerate(entries):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, wanted
            batch.seq_id[i][0] = place
        code = llama_cpp.llama_decode(context, batch)
        assert code == 0, f"llama_decode: {code}"
        for i, (_, _, place, wanted) in enumerate(entries):
            if not wanted:
                continue
            logits = numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (vocabulary,))
            answer = answers[active[place]]
            answer.append(int(logits.argmax()))
            if answer[-1] in stops or len(answer) == longest:
                del active[place]
                free.append(place)
    return answers


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--longest", type=int, required=True, help="tokens of an answer")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    write_gguf(options.work / "model", options.work / "model.gguf")
    model, context = open_model(options.work / "model.gguf", options.threads)
    stops = set(json.loads((options.work / "model/generation_config.json").read_text())["eos_token_id"])
    prompts = [json.loads(line)["prompt_ids"] for line in (options.work / "prompts.jsonl").read_text().splitlines()]
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    begin = time.perf_counter()
    answers = answer_all(context, prompts, stops, options.longest, vocabulary)
    print(json.dumps({"seconds": time.perf_counter() - begin, "answers": answers}))


if __name__ == "__main__":
    main()
