// Operations as their paths below `/v1/`.

const NAMED = ["chat/completions", "completions", "embeddings", "responses", "messages"];
const FORMS = ["audio/transcriptions", "audio/translations", "images/edits", "images/variations"];

/** The path of an operation of the contract. */
export function pathOf({ tag, val }) {
  return tag === "other" ? val : tag.replace("chat-", "chat/");
}

/** The operation of the contract that a path names. */
export function operationOf(path) {
  return NAMED.includes(path) ? { tag: path.replace("/", "-") } : { tag: "other", val: path };
}

/** Whether the client sends a form, which stays with the host: of it the task's body says the model alone. */
export const takesForm = (path) => FORMS.includes(path);
