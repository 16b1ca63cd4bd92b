// Forms that a security key fills: [data-security-key] is "create" or "get". The form is sent with
// what the key answered; without a script its button stays hidden.

async function optionsOf(form) {
  const answer = await fetch(form.dataset.options, {
    method: "POST",
    headers: {
      "X-CSRFToken": form.elements.csrfmiddlewaretoken.value,
      Accept: "application/json",
    },
  });
  const data = await answer.json();
  if (!answer.ok) {
    const failure = new Error(data.error);
    failure.isTold = true;
    throw failure;
  }
  return data.publicKey;
}

async function answerOf(form) {
  const options = await optionsOf(form);
  if (form.dataset.securityKey === "create") {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    return navigator.credentials.create({ publicKey });
  }
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return navigator.credentials.get({ publicKey });
}

function start(form) {
  const problem = form.querySelector("[data-problem]");
  if (!window.PublicKeyCredential?.parseCreationOptionsFromJSON) {
    problem.textContent = form.dataset.unable;
    return;
  }
  const button = form.querySelector("[type=submit]");
  button.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    button.disabled = true;
    try {
      form.elements.credential.value = JSON.stringify(await answerOf(form));
      form.submit();
    } catch (failure) {
      problem.textContent = failure.isTold ? failure.message
        : failure.name === "SecurityError" ? form.dataset.unable : form.dataset.failed;
      button.disabled = false;
    }
  });
}

document.querySelectorAll("[data-security-key]").forEach(start);
