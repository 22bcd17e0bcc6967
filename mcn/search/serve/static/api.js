// Asking the server; its errors become `Error`s whose message says what was got, what was wanted and what to do.

/** JSON of an address. parameters: values, lists of values; empty ones are left out. */
export async function ask(path, parameters = {}, options = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== "" && one !== null && one !== undefined && one !== false) query.append(name, one === true ? "1" : one);
    }
  }
  const text = query.toString();
  const reply = await fetch(text ? `${path}?${text}` : path, options).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is mcn serve still running?");
  });
  const content = await reply.json().catch(() => ({}));
  if (reply.ok) return content;
  const { got, wanted, do_this: cure } = content.error ?? {};
  throw new Error(got ? `${got}; wanted: ${wanted}. ${cure[0].toUpperCase()}${cure.slice(1)}.` : reply.statusText);
}

/** Address of something of a video: transcript, media, preview. */
export const ofVideo = (id, what) => `/api/videos/${encodeURIComponent(id)}/${what}`;
