// A page whose answer is still to come: it looks again until the answer is there.

const AGAIN_MS = 1200;
setTimeout(() => location.reload(), AGAIN_MS);
