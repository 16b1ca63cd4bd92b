// Loads a tokenizer from the store with transformers.js. Arguments: store, model, folder for files.
import { AutoTokenizer, env } from "@huggingface/transformers";

const [store, model, cache] = process.argv.slice(2);
env.remoteHost = store;
env.allowLocalModels = false;
env.cacheDir = cache;

const tokenizer = await AutoTokenizer.from_pretrained(model);
const ids = tokenizer.encode("It is a truth");
console.log(JSON.stringify({ ids, text: tokenizer.decode(ids, { skip_special_tokens: true }) }));
